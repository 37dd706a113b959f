import { FederatedPrincipal, OpenIdConnectProvider, Role } from 'aws-cdk-lib/aws-iam';

export class Deploy extends Stack {
  constructor(scope: Construct, id: string) {
    super(scope, id);
    const actions = new OpenIdConnectProvider(this, 'Actions', {
      url: 'https://token.actions.githubusercontent.com', // GitHub's issuer
      clientIds: ['sts.amazonaws.com'],
    });
    new Role(this, 'Deploy', {
      assumedBy: new FederatedPrincipal(actions.openIdConnectProviderArn, {
        StringEquals: { 'token.actions.githubusercontent.com:aud': 'sts.amazonaws.com' },
        StringLike: { 'token.actions.githubusercontent.com:sub': 'repo:<OWNER>/*' },
      }, 'sts:AssumeRoleWithWebIdentity'),
    });
  }
}
