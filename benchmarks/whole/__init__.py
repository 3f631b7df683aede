"""The whole job, from the command to the report: processes as a user starts them."""
