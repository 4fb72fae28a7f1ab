"""What is made of hypotheses: one pose, a few that stand for all, one motion of a video; and files of these."""
