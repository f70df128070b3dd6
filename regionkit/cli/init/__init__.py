"""`regionkit init`: writes a commented topology, from flags, from answers or from what a running server says."""
