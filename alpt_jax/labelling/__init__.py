"""Labels and audits with a trained IDM."""
