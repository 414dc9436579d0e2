"""The public names: `__init__.py` imports them from here when they are asked for."""

from keras_bottleneck.export.auditing import (
    AuditReport as AuditReport,
)
from keras_bottleneck.export.auditing import (
    audit as audit,
)
from keras_bottleneck.export.errors import (
    ExportError as ExportError,
)
from keras_bottleneck.export.exporter import (
    export_model as export_model,
)
from keras_bottleneck.export.formats import (
    FLOAT_FORMATS as FLOAT_FORMATS,
)
from keras_bottleneck.export.formats import (
    FORMATS as FORMATS,
)
from keras_bottleneck.export.report import (
    Artifact as Artifact,
)
from keras_bottleneck.export.report import (
    ExportReport as ExportReport,
)
from keras_bottleneck.export.snippets import (
    write_snippets as write_snippets,
)
from keras_bottleneck.trained_model import (
    load_model as load_model,
)
from keras_bottleneck.trained_model import (
    save_model as save_model,
)
