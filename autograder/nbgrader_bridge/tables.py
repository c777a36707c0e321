"""nbgrader's tables, as far as a projection of verdicts touches them. A test compares them with nbgrader's own models."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

SCHEMA_VERSION = "e43177bfe90b"  # of nbgrader 0.9: the head of its Alembic migrations

metadata = sa.MetaData()


def _table(table: str, /, **columns: Any) -> sa.Table:
    key = () if "version_num" in columns else (sa.Column("id", sa.String, primary_key=True),)
    return sa.Table(table, metadata, *key, *(sa.Column(c, t) for c, t in columns.items()))


version = _table("alembic_version", version_num=sa.String())
student = _table("student")
assignment = _table("assignment", name=sa.String())
notebook = _table("notebook", name=sa.String(), assignment_id=sa.String())
base_cell = _table("base_cell", name=sa.String(), notebook_id=sa.String())
grade_cells = _table("grade_cells", max_score=sa.Float())
solution_cells = _table("solution_cells")
submitted_assignment = _table("submitted_assignment", assignment_id=sa.String(), student_id=sa.String(), timestamp=sa.DateTime())
submitted_notebook = _table(
    "submitted_notebook",
    assignment_id=sa.String(),
    notebook_id=sa.String(),
    late_submission_penalty=sa.Float(),
    flagged=sa.Boolean(),
)
grade = _table(
    "grade",
    notebook_id=sa.String(),
    cell_id=sa.String(),
    auto_score=sa.Float(),
    manual_score=sa.Float(),
    extra_credit=sa.Float(),
    needs_manual_grade=sa.Boolean(),
)
comment = _table("comment", notebook_id=sa.String(), cell_id=sa.String(), auto_comment=sa.Text(), manual_comment=sa.Text())
