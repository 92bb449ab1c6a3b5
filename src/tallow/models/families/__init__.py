"""One file a family, named as Hugging Face's `model_type`; `models.table` says which is which."""
