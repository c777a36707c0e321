"""nbgrader, for everybody: which course, and where assignments are handed out and in."""

c = get_config()  # noqa: F821 - nbgrader's own

c.CourseDirectory.course_id = "bootcamp"
# The exchange is the bootcamp's service. BOOTCAMP_SERVICE says where it is and JUPYTERHUB_API_TOKEN who asks; the Hub sets both.
_ROOM = "autograder.nbgrader_bridge.exchange"
c.ExchangeFactory.exchange = f"{_ROOM}.base.Exchange"
c.ExchangeFactory.fetch_assignment = f"{_ROOM}.assignments.ExchangeFetchAssignment"
c.ExchangeFactory.fetch_feedback = f"{_ROOM}.feedback.ExchangeFetchFeedback"
c.ExchangeFactory.release_assignment = f"{_ROOM}.assignments.ExchangeReleaseAssignment"
c.ExchangeFactory.release_feedback = f"{_ROOM}.feedback.ExchangeReleaseFeedback"
c.ExchangeFactory.list = f"{_ROOM}.listing.ExchangeList"
c.ExchangeFactory.submit = f"{_ROOM}.submissions.ExchangeSubmit"
c.ExchangeFactory.collect = f"{_ROOM}.submissions.ExchangeCollect"
