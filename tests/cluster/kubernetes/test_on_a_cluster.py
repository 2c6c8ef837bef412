"""A real Kubernetes cluster with the Dask operator, named by KUBECONFIG; DASKPAR_TEST_IMAGE has daskpar.

Nothing else is assumed but kubectl: the tests make a namespace of their own and claims without a class. They
read progress in logs, and kill by deleting pods.
"""
