"""Connection pools inside applications, as their processes tell of them over unix sockets and HTTP."""
