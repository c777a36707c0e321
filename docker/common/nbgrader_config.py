"""nbgrader, for everybody: which course, and where assignments are handed out and in."""

import os

c = get_config()  # noqa: F821 - nbgrader's own

c.CourseDirectory.course_id = "bootcamp"
if "BOOTCAMP_EXCHANGE" in os.environ:
    c.Exchange.root = os.environ["BOOTCAMP_EXCHANGE"]
# One Unix user owns every file here, so an owner says nothing about who handed it in.
c.ExchangeCollect.check_owner = False
