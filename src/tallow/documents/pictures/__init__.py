"""Pictures of pages: orientation, skew, perspective, tone, and the rulings drawn in them."""
