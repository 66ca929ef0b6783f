"""The sandbox: throwaway servers, an ERP-like world, backups of different ages."""
