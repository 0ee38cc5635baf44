"""The sections of the report page, one a file: each turns a `Report` into markup."""
