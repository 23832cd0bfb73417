"""What the runtime tells about itself: metrics, log, traces, Application Insights."""
