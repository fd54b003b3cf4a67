"""Configs in mmengine's new style, as in mmdet/configs and mmseg/configs: every type is a class."""
from typing import Any

from dsnet_mm.config import resolve, scope_of

from mmengine import registry
from mmengine.config import Config
from mmengine.registry import Registry

REGISTRIES = [value for value in vars(registry).values() if isinstance(value, Registry)]


def new_style(cfg: Config) -> str:
    """The text of a config that names the classes of another one, and no scope."""
    scope, imports = scope_of(cfg), set()

    def text(node: Any) -> str:
        if isinstance(node, dict):
            items = (f'{key}={kind(value) if key == "type" else text(value)}'
                     for key, value in node.items() if key != '_scope_')
            return f'dict({", ".join(items)})'
        return f'[{", ".join(map(text, node))}]' if isinstance(node, list) else repr(node)

    def kind(name: str) -> str:
        found = (resolve(name, registry, scope) for registry in REGISTRIES)
        cls = next((value for value in found if not isinstance(value, str)), None)
        if cls is None:  # mmcv's 'nms' is in no registry, and a string in mmdet's own configs, too
            return repr(name)
        imports.add(f'from {cls.__module__} import {cls.__name__}')
        return cls.__name__

    body = [f'{key} = {text(value)}' for key, value in cfg.items() if key != 'default_scope']
    return '\n'.join([*sorted(imports), 'default_scope = None', *body, ''])
