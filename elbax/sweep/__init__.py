"""How do models differ when their options do? Many runs, trained abreast, and what came of them."""
