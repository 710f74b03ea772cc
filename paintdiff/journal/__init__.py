"""The jobs that outlive the process, in the gallery's database."""
