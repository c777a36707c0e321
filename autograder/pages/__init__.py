"""What people see: records and reports in, frozen dataclasses of ready words and drawn figures out. No HTTP, no template.

A view is a module: the dataclasses of one page and the function that fills them. What several pages share: marks, times
and numbers (wording), the parts of pages (models), titles (catalog), figures with their table twins (figure), and the drawing of
a Vega-Lite description (drawing). The service asks the ledger, calls a view, and places the result in a template.
"""
