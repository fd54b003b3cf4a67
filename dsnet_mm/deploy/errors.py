"""The reasons why a file is not written."""


class CannotExport(ValueError):
    """Something in a model, its config or the options cannot be expressed as one graph."""

    def __init__(self, what: str, remedy: str | None = None) -> None:
        super().__init__(f'{what} cannot be exported: ' + (remedy or (
            'export the model without decoding with "dsnet-mm export model", and decode its '
            'outputs yourself')))


class Disagrees(ValueError):
    """The results of onnxruntime differ from those of the model."""
