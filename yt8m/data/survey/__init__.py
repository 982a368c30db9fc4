"""Survey of a data set, its contents and problems: yt8m-doctor."""
