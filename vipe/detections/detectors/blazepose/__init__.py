"""BlazePose: the published networks, run on images."""

__all__: list[str] = []
