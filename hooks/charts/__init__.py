"""
Charts as SVG, drawn here and not in the reader's browser: a page with them needs no script and can be printed or sent.

Vega-Lite says what is shown, and vl-convert draws it without a browser (84 MB installed; half a second for the first
chart of a process, 30 ms for each further one). Writing SVG by hand, as small drawings do, would mean scales, ticks,
legends and label placement of our own; matplotlib draws as well but sets text as outlines or guesses at its width, and
needs more than twice the code for a chart that reads as quietly.
"""
