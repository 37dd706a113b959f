"""Resource Groups Tagging API: reads over all services.

Writing tags through it also needs each service's own tagging action, so no row offers that.
"""

from __future__ import annotations

from ._table import Table, anywhere

TABLE: Table = anywhere("GetResources GetTagKeys GetTagValues GetComplianceSummary")
