"""A run on a web page: live, from its directory, or from a controller elsewhere.

chronicle   what the page shows, gathered from a run's events; pure
source      where events, versions and orders of a run come from and go to
trail       the versions that a run has kept
feed        one source followed, and any number of browsers told of it
guard       who may see the page and who may give orders; pure
where       where something is served, and to whom
app         what is served at which path
server      an HTTP server in the loop that is running
opening     the page of a run, wherever the run is
metering    figures for Prometheus without a page
scraping    the few lines of HTTP that this takes
page/       the page itself: HTML, style and scripts
"""
