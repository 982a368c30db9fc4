"""Slow second implementations, to compare with."""


def window_twin(start, frames, view, border):
    """The frames of a view of a segment as a list, one after another."""
    length = min(5, frames - start)
    if view == "enlarge":
        wanted = [start - 2 + slot for slot in range(length + 4)]
    elif view == "dilute":
        wanted = [start - (length - 1) // 2 + 2 * slot for slot in range(length)]
    else:
        wanted = [start - view + slot for slot in range(length)]
    if border == "mask":
        inside = [frame for frame in wanted if 0 <= frame < frames]
        return inside or window_twin(start, frames, view, "clamp")
    if border == "roll":
        return [frame % frames for frame in wanted]
    if border == "reflect":
        mirrored = []
        for frame in wanted:
            while not 0 <= frame < frames:
                frame = -frame if frame < 0 else 2 * (frames - 1) - frame
                if frames == 1:
                    frame = 0
            mirrored.append(frame)
        return mirrored
    return [min(max(frame, 0), frames - 1) for frame in wanted]
