"""The stacked autoencoder on SrTiO3: noise, vacancies and faults."""
