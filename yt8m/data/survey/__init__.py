"""What a data set holds and what is wrong with it: yt8m-doctor."""
