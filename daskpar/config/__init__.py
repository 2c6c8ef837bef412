"""Configs: YAML files, checked by pydantic models that are derived from settings."""

from daskpar.config.load import load_config, read_layout, schema
from daskpar.config.model import Config, config_class

__all__ = ["Config", "config_class", "load_config", "read_layout", "schema"]
