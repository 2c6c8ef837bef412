"""Neural networks trained as Dask task graphs.

    from daskpar import Dense, Layout, ReLU, Trainer

    trainer = Trainer([Dense(64), ReLU(), Dense(10)], layout=Layout(data=2), epochs=5).fit(X, y)

Every layer, loss, metric, optimizer, schedule, transform, data source and callback can be imported from here,
and so can the contracts to derive your own from. `daskpar/REFERENCE.md` lists them by kind. A name is
imported when it is first used, so `import daskpar` costs nothing. `__init__.pyi` lists the names, also for
editors and type checkers.
"""

import lazy_loader

__version__ = "0.1.0"

_lazy, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Import a name of `__init__.pyi`. Raises AttributeError, with the name that was probably meant."""
    if name in __all__ or name.startswith("_"):
        return _lazy(name)
    from difflib import get_close_matches

    from daskpar.registry import class_called

    near = get_close_matches(name, __all__, n=1)
    meant = class_called(name) if name[0].isupper() else None
    hint = f"; did you mean {meant or near[0]!r}?" if meant or near else ""
    raise AttributeError(f"module 'daskpar' has no attribute {name!r}{hint}")
