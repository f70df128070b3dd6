"""MongoDB: replica sets whose members say themselves in which region they stand."""
