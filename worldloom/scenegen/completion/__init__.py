"""What a panorama does not show, made up: a network that completes panoramas in the latents of another one."""
