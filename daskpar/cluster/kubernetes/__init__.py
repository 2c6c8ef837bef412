"""Clusters of pods: the resources that describe them, and their start, connection and end.

settings.py    fields of a cluster of pods, keys of the section `cluster`
pods.py        pods of the scheduler and the workers
resources.py   DaskCluster and DaskWorkerGroup, as the Dask operator reads them
api.py         requests to the Kubernetes API, with errors in one line
starting.py    wait for the pods, and the reasons why they do not start
forward.py     ports of the scheduler's pod on this machine
versions.py    comparison of the packages here and in the image
"""
