"""What the pull-request and deployment pipelines call: previews as data, comments, drift reports."""
