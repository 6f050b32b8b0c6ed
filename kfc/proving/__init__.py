"""A spec -> a proof that its fast step equals the maths, and where it does not, why."""
