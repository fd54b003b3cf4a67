"""Why there is no file."""


class CannotExport(ValueError):
    """Something in a model, its config or the export has no place in one graph."""

    def __init__(self, what: str, remedy: str | None = None) -> None:
        super().__init__(f'{what} cannot be exported: ' + (remedy or (
            'write the graph before decoding with "dsnet-mm export model", and decode its '
            'outputs yourself')))


class Disagrees(ValueError):
    """onnxruntime finds something else than the model's own ``predict``."""
