"""What single services answer otherwise than moto."""
