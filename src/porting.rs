//! Porting
