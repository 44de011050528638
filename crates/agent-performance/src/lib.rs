//! Measuring, pooling, lifecycle: what keeps the agent fast, small and stoppable.
