"""How good, how costly: metrics, multiply-adds, accuracy against cost, early exit."""
