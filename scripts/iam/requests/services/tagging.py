"""Resource Groups Tagging API: reads over all services.

Writing tags through it also needs each service's own tagging action, so no row offers that.
"""

from __future__ import annotations

from scripts.iam.requests.row import Table, anywhere

TABLE: Table = anywhere("GetResources GetTagKeys GetTagValues GetComplianceSummary")
