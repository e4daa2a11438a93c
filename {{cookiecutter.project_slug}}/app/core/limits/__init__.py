"""Rate limits, and the counters behind them."""
