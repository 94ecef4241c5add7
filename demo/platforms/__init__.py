"""The demonstration's platforms: systems of other owners, processes of their own, as real ones behave."""
