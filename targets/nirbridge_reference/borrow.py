"""Arrays without a count of references, for the inside of a compiled loop.

numba counts the references of every array that a compiled function is given, with two atomic additions a
call wherever its compiler cannot prove them needless. The loop calls a dozen functions a step.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def borrowed(typing_context: Any, array: Any) -> Any:
    """The same memory as an array that owns nothing: whoever owns it must outlive its use."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(array)(context, builder, value=arguments[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()

    return array(array), generate
