"""What is recorded and demanded of images: SBOMs, known vulnerabilities, signatures, provenance. Where asked for."""
