//! impair
