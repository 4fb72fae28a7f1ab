"""Datasets in their publishers' layouts, as clips: Human3.6M, MPI-INF-3DHP, AMASS."""
