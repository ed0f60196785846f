"""The plugin by which Airflow 2 shows the link from a task to its record.

Airflow 2 shows only links whose class a plugin registers under the name that is in the DAG;
Airflow 3 takes any link's address from XCom.
"""

from __future__ import annotations

#: The module that `RecordLink` in a DAG file says it is from.
FILE = "levada_record_link.py"

SOURCE = '''\
"""The button `Record` of a task, which leads to its record. Airflow 3 needs no plugin for it.

Made by Levada.
"""

import airflow
from airflow.plugins_manager import AirflowPlugin

if airflow.__version__.startswith("2."):
    from airflow.models import XCom
    from airflow.models.baseoperatorlink import BaseOperatorLink

    class RecordLink(BaseOperatorLink):
        """The address that a task has left in its XCom."""

        name = "Record"

        def get_link(self, operator, *, ti_key):
            return XCom.get_value(ti_key=ti_key, key="record_url") or ""

    class LevadaPlugin(AirflowPlugin):
        """Registers the link."""

        name = "levada_record_link"
        operator_extra_links = [RecordLink()]
'''
