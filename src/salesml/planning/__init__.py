"""What optimises: territories, quotas, routing."""
