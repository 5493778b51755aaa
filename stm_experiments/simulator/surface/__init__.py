"""The sample: where its atoms are, defects, strain, charge-density waves."""
