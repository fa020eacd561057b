//! Envoy (to come).
