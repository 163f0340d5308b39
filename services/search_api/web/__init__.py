"""What every request goes through: limits, keys, measurements, and errors in the client's dialect."""
