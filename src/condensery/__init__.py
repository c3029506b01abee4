"""Dataset condensation, reproduced: DM and DSA, table by table and figure by figure."""
