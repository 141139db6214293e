"""Samples of the pods' metrics.

pods.py      which pods are scraped (list and watch: `chatfleet_operator.kube.list_watch`)
scrape.py    scrape cycles: every pod once a period
sample.py    parsing, rates and staleness, pure
store.py     targets and samples in memory
"""
